package config

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/pattern"
)

// decodeDocument fills doc from the tree and reports every key and value that does not fit.
func (f *file) decodeDocument(doc *Document) { f.decode("", f.root, reflect.ValueOf(doc).Elem()) }

var (
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
	jsonType     = reflect.TypeFor[json.Unmarshaler]()
	rawType      = reflect.TypeFor[json.RawMessage]()
	secretType   = reflect.TypeFor[astern.Secret]()
	headerType   = reflect.TypeFor[HeaderValue]()
	durationType = reflect.TypeFor[Duration]()
)

// decode fills into from v as encoding/json would, but strictly: names match exactly, no value is converted, and
// nothing is empty. It fills as much as it can and reports all that does not fit.
func (f *file) decode(path string, v *value, into reflect.Value) {
	t := into.Type()
	if v.kind == null && t.Kind() != reflect.Interface && t != rawType {
		f.at(path, "{} is empty", "give it a value, or remove it")
		return
	}
	switch {
	case t == headerType:
		f.decodeHeader(path, v, into)
		return
	case t == secretType:
		f.decodeSecret(path, v, into)
		return
	case t.Kind() == reflect.Pointer:
		p := reflect.New(t.Elem())
		f.decode(path, v, p.Elem())
		into.Set(p)
		return
	case reflect.PointerTo(t).Implements(textType):
		f.decodeText(path, v, into)
		return
	case t.Kind() == reflect.Interface && t.NumMethod() == 0:
		if p := v.plain(); p != nil {
			into.Set(reflect.ValueOf(p))
		}
		return
	case reflect.PointerTo(t).Implements(jsonType), t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		f.decodeJSON(path, v, into)
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		f.decodeStruct(path, v, into)
	case reflect.Map:
		f.decodeMap(path, v, into)
	case reflect.Slice:
		f.decodeList(path, v, into)
	case reflect.String, reflect.Bool:
		f.decodePlain(path, v, into)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8,
		reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		f.decodeNumber(path, v, into)
	default:
		f.decodeJSON(path, v, into)
	}
}

// decodeStruct fills a struct: unknown keys and missing ones are reported.
func (f *file) decodeStruct(path string, v *value, into reflect.Value) {
	if !f.expect(path, v, object) {
		return
	}
	fields := f.fieldsOf(into.Type())
	names := make([]string, len(fields))
	for i, fd := range fields {
		names[i] = fd.name
		if c := v.get(fd.name); c != nil {
			f.decode(join(path, fd.name), c, into.FieldByIndex(fd.index))
		} else if fd.required {
			f.missing(path, fd.name)
		}
	}
	for _, e := range v.entries {
		if !slices.Contains(names, e.key) {
			if sensitive.MatchString(e.key) {
				f.hide(e.value)
			}
			f.unknownKey(join(path, e.key), e.key, names)
		}
	}
}

func (f *file) unknownKey(path, key string, names []string) {
	if !f.more { // looking for what was meant takes time
		f.atKey(path, "unknown key "+show(key), didYouMean(key, names, "keys"))
	}
}

func (f *file) missing(path, key string) {
	p := f.locate(path)
	where := ""
	if path != "" {
		where = " in " + show(p.lastName)
		if p.inList {
			i, _ := strconv.Atoi(p.lastName) // locate found the item by it
			where = fmt.Sprintf(" in item %d of %s", i+1, show(p.parent))
		}
	}
	f.report(p.line, p.column, join(path, key), "missing key "+show(key)+where, "")
}

// structField is a key that a struct knows.
type structField struct {
	name     string
	index    []int
	required bool
}

// fieldsOf returns the keys of a struct type, which many values of a file share.
func (f *file) fieldsOf(t reflect.Type) []structField {
	known, ok := f.fields[t]
	if !ok {
		known = fieldsOf(t)
		f.fields[t] = known
	}
	return known
}

// fieldsOf returns the keys of a struct type by the rules of encoding/json. A key without omitempty or omitzero is
// required, as it is in the schema.
func fieldsOf(t reflect.Type) []structField {
	var out []structField
	for i := range t.NumField() {
		sf := t.Field(i)
		tag := sf.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		schema := strings.Split(sf.Tag.Get("jsonschema"), ",")
		if tag == "-" || schema[0] == "-" {
			continue
		}
		if sf.Anonymous && name == "" && sf.Type.Kind() == reflect.Struct {
			for _, inner := range fieldsOf(sf.Type) {
				inner.index = append([]int{i}, inner.index...)
				out = append(out, inner)
			}
			continue
		}
		if !sf.IsExported() {
			continue
		}
		if name == "" {
			name = sf.Name
		}
		flags := strings.Split(options, ",")
		required := !slices.Contains(flags, "omitempty") && !slices.Contains(flags, "omitzero") || slices.Contains(schema, "required")
		out = append(out, structField{name: name, index: []int{i}, required: required})
	}
	return out
}

func (f *file) decodeMap(path string, v *value, into reflect.Value) {
	if !f.expect(path, v, object) {
		return
	}
	t := into.Type()
	if t.Key().Kind() != reflect.String {
		f.decodeJSON(path, v, into)
		return
	}
	m := reflect.MakeMapWithSize(t, len(v.entries))
	for _, e := range v.entries {
		c := reflect.New(t.Elem()).Elem()
		f.decode(join(path, e.key), e.value, c)
		m.SetMapIndex(reflect.ValueOf(e.key).Convert(t.Key()), c)
	}
	into.Set(m)
}

func (f *file) decodeList(path string, v *value, into reflect.Value) {
	if !f.expect(path, v, list) {
		return
	}
	s := reflect.MakeSlice(into.Type(), len(v.items), len(v.items))
	for i, c := range v.items {
		f.decode(join(path, strconv.Itoa(i)), c, s.Index(i))
	}
	into.Set(s)
}

func (f *file) decodePlain(path string, v *value, into reflect.Value) {
	if into.Kind() == reflect.Bool {
		if f.expect(path, v, boolean) {
			into.SetBool(v.text == "true")
		}
		return
	}
	if f.expect(path, v, text) {
		into.SetString(v.text)
	}
}

// decodeNumber fills a number; one that does not fit is reported, never rounded.
func (f *file) decodeNumber(path string, v *value, into reflect.Value) {
	if !f.expect(path, v, number) || f.reported[path] { // reported: a number that readers disagree about
		return
	}
	switch {
	case into.CanFloat():
		x, err := strconv.ParseFloat(v.text, 64)
		if err != nil || into.OverflowFloat(x) {
			f.at(path, "{} is too large: "+v.raw, "")
			return
		}
		into.SetFloat(x)
	case strings.ContainsAny(v.text, ".eE"):
		f.at(path, "{} must be a whole number, but is "+v.raw, "")
	case into.CanInt():
		i, err := strconv.ParseInt(v.text, 10, 64)
		if err != nil || into.OverflowInt(i) {
			f.at(path, "{} is too large: "+v.raw, "")
			return
		}
		into.SetInt(i)
	default:
		i, err := strconv.ParseUint(v.text, 10, 64)
		if err != nil || into.OverflowUint(i) {
			f.at(path, "{} is out of range: "+v.raw, "")
			return
		}
		into.SetUint(i)
	}
}

// decodeText fills a type that reads itself from text.
func (f *file) decodeText(path string, v *value, into reflect.Value) {
	patterned, ok := into.Interface().(interface{ SchemaPattern() string })
	if ok && patterned.SchemaPattern() == durationPattern && v.kind != text { // a driver's own type, too
		suggestion := `write a number with a unit: 500ms, 30s, 5m, 1h30m, 90d`
		if v.kind == number {
			suggestion = fmt.Sprintf("write the unit: %ss, %sm, %sh or %sd", v.raw, v.raw, v.raw, v.raw)
		}
		f.at(path, "{} must be a duration, but is "+describe(v), suggestion)
		return
	}
	if !f.expect(path, v, text) {
		return
	}
	u, ok := into.Addr().Interface().(encoding.TextUnmarshaler)
	if !ok { // decode asked before
		return
	}
	if err := u.UnmarshalText([]byte(v.text)); err != nil {
		if into.Type() == durationType {
			f.at(path, "{} "+err.Error(), "write a number with a unit: 500ms, 30s, 5m, 1h30m, 90d")
			return
		}
		f.at(path, "{}: "+err.Error(), "")
	}
}

// decodeJSON fills a type that reads itself from JSON, or that only encoding/json knows.
func (f *file) decodeJSON(path string, v *value, into reflect.Value) {
	b, err := json.Marshal(v.plain())
	if err == nil {
		err = json.Unmarshal(b, into.Addr().Interface())
	}
	var te *json.UnmarshalTypeError
	if errors.As(err, &te) {
		f.at(path, "{} must be "+te.Type.String()+", but is "+describe(v), "")
	} else if err != nil {
		f.at(path, "{}: "+err.Error(), "")
	}
}

func (f *file) decodeHeader(path string, v *value, into reflect.Value) {
	h := HeaderValue{}
	switch v.kind {
	case text:
		h.Plain = v.text
		if sensitive.MatchString(path[strings.LastIndex(path, "/")+1:]) {
			f.hide(v)
		}
	case object:
		h.Secret = &astern.Secret{}
		f.decodeSecret(path, v, reflect.ValueOf(h.Secret).Elem())
	default:
		f.hide(v)
		f.at(path, "{} must be text, {env: NAME} or {file: PATH}, but is "+string(v.kind), "")
	}
	into.Set(reflect.ValueOf(h))
}

var variable = pattern.New(`^[A-Za-z_][A-Za-z0-9_]*$`)

// decodeSecret fills a reference to a secret. What stands there by mistake may be the secret: it is never shown.
func (f *file) decodeSecret(path string, v *value, into reflect.Value) {
	if v.kind != object {
		f.hide(v)
		f.at(path, "{} must be a reference to a secret, but is "+string(v.kind), "write {env: NAME} or {file: PATH}")
		return
	}
	for _, e := range v.entries {
		if e.key != "env" && e.key != "file" {
			f.hide(e.value)
		}
	}
	f.decodeStruct(path, v, into)
	s, ok := into.Interface().(astern.Secret)
	if !ok || f.broken(path) {
		return
	}
	env, file := v.get("env") != nil, v.get("file") != nil
	switch {
	case env && file:
		f.at(path, "{} has both env and file", "keep one of them")
	case !env && !file:
		f.at(path, "{} has neither env nor file", "write {env: NAME} or {file: PATH}")
	case env && !variable.MatchString(s.Env):
		f.hide(v.get("env"))
		f.at(join(path, "env"), "{} is not the name of an environment variable", "write the name alone: {env: API_TOKEN}")
	case file && s.File == "":
		f.at(join(path, "file"), "{} is empty", "")
	}
}

// expect reports whether v is of the kind; if not, it says so with what was probably meant.
func (f *file) expect(path string, v *value, want kind) bool {
	if v.kind == want {
		return true
	}
	suggestion := ""
	scalar := v.kind == text || v.kind == number || v.kind == boolean
	switch {
	case want == text && scalar:
		suggestion = "write it in quotes: " + strconv.Quote(v.raw)
	case want == list && scalar && len(v.raw) < 40 && !strings.Contains(v.raw, "\n"):
		suggestion = "write a list: [" + v.raw + "]"
	case want == number && v.kind == text && realNumber.MatchString(v.raw):
		suggestion = "write it without quotes: " + v.raw
	case want == boolean && scalar:
		switch strings.ToLower(v.raw) {
		case "yes", "on", "true", "y", "1":
			suggestion = "write true"
		case "no", "off", "false", "n", "0":
			suggestion = "write false"
		}
	}
	f.at(path, fmt.Sprintf("{} must be %s, but is %s", want, describe(v)), suggestion)
	return false
}

// describe says what v is; numbers and booleans with their text.
func describe(v *value) string {
	switch v.kind {
	case number:
		return "the number " + v.raw
	case boolean:
		return v.raw
	}
	return string(v.kind)
}
