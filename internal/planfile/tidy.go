package planfile

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"
)

// maxInt is the largest integer that a JSON number holds exactly.
const maxInt = 1<<53 - 1

var timeType = reflect.TypeFor[time.Time]()

// untidy is what canonical JSON can't hold.
type untidy struct {
	path string // where: the steps of a JSON path behind the plan itself
	says string
}

func (u *untidy) Error() string {
	return "$" + u.path + " " + u.says
}

func untidyf(format string, args ...any) *untidy {
	return &untidy{says: fmt.Sprintf(format, args...)}
}

// in returns what is untidy inside of a value, seen from outside. Paths are made only for what is refused: most plans
// are tidy.
func (u *untidy) in(step string) *untidy {
	return &untidy{step + u.path, u.says}
}

// tidy returns a deep copy of v in which each value has its one form: times in UTC and whole milliseconds, no nil list.
// It returns what canonical JSON can't hold, if anything. It walks by reflection so that a field added to the types
// can't be forgotten here.
func tidy(v reflect.Value) (reflect.Value, *untidy) {
	if v.Type() == timeType {
		t := v.Interface().(time.Time).UTC().Truncate(time.Millisecond)
		if t.Year() < 0 || t.Year() > 9999 {
			return v, untidyf("is a time in the year %d", t.Year())
		}
		return reflect.ValueOf(t), nil
	}
	switch v.Kind() {
	case reflect.String:
		if !utf8.ValidString(v.String()) {
			return v, untidyf("is not valid UTF-8: %q", show(v.String()))
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n := v.Int(); n > maxInt || n < -maxInt {
			return v, untidyf("is %d, beyond the integers that canonical JSON holds (2^53-1)", n)
		}
	case reflect.Float32, reflect.Float64:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return v, untidyf("is %v", f)
		}
	case reflect.Struct, reflect.Slice, reflect.Map:
		return tidyInside(v)
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return v, nil
		}
		inner, bad := tidy(v.Elem())
		if bad != nil {
			return v, bad
		}
		out := reflect.New(v.Type()).Elem()
		if v.Kind() == reflect.Pointer {
			out.Set(reflect.New(v.Type().Elem()))
			out.Elem().Set(inner)
		} else {
			out.Set(inner)
		}
		return out, nil
	}
	return v, nil
}

func tidyInside(v reflect.Value) (reflect.Value, *untidy) {
	out := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			inner, bad := tidy(v.Field(i))
			if bad != nil {
				return v, bad.in(jsonName(v.Type().Field(i)))
			}
			out.Field(i).Set(inner)
		}
	case reflect.Slice:
		out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			inner, bad := tidy(v.Index(i))
			if bad != nil {
				return v, bad.in(fmt.Sprintf("[%d]", i))
			}
			out.Index(i).Set(inner)
		}
	case reflect.Map:
		out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
		for it := v.MapRange(); it.Next(); {
			key, bad := tidy(it.Key())
			if bad != nil {
				return v, bad.in(" (a key)")
			}
			inner, bad := tidy(it.Value())
			if bad != nil {
				return v, bad.in("." + key.String())
			}
			out.SetMapIndex(key, inner)
		}
	}
	return out, nil
}

// jsonName is the step of a JSON path that a field is; none for a field of a type that encodes itself (an argument's).
func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "" {
		return ""
	}
	return "." + name
}
