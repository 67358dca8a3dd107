package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
)

// Ids of the lab are made from what they name, so that the same calls give the same ids in every run.

func digest(parts ...any) []byte {
	sum := sha256.Sum256(fmt.Appendln(nil, parts...))
	return sum[:]
}

// hexOf returns 32 hexadecimal digits, as ids of ECS tasks have.
func hexOf(parts ...any) string { return hex.EncodeToString(digest(parts...)[:16]) }

// digitsOf returns 19 decimal digits, as ids of ECS deployments and service revisions have.
func digitsOf(parts ...any) string {
	n := new(big.Int).SetBytes(digest(parts...)[:8])
	return fmt.Sprintf("%019d", n.Mod(n, big.NewInt(1e18)).Uint64()+1e18)
}

func uuidOf(parts ...any) string {
	h := hexOf(parts...)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// lettersOf returns 21 letters and digits, as ids of ECS service deployments have.
func lettersOf(parts ...any) string {
	return alphabetOf(21, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", parts...)
}

// shortOf returns 7 lower case letters and digits, as ids of AppConfig have.
func shortOf(parts ...any) string {
	return alphabetOf(7, "abcdefghijklmnopqrstuvwxyz0123456789", parts...)
}

func alphabetOf(n int, letters string, parts ...any) string {
	out := make([]byte, n)
	for i, b := range digest(parts...)[:n] {
		out[i] = letters[int(b)%len(letters)]
	}
	return string(out)
}
