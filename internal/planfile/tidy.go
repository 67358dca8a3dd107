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

// tidy returns a deep copy of v in which each value has its one form: times in UTC and whole milliseconds, no nil list.
// It returns an error, with the JSON path, for what canonical JSON can't hold. It walks by reflection so that a field
// added to the types can't be forgotten here.
func tidy(v reflect.Value, path string) (reflect.Value, error) {
	if v.Type() == timeType {
		t := v.Interface().(time.Time).UTC().Truncate(time.Millisecond)
		if t.Year() < 0 || t.Year() > 9999 {
			return v, fmt.Errorf("%s is a time in the year %d", path, t.Year())
		}
		return reflect.ValueOf(t), nil
	}
	switch v.Kind() {
	case reflect.String:
		if !utf8.ValidString(v.String()) {
			return v, fmt.Errorf("%s is not valid UTF-8: %q", path, show(v.String()))
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n := v.Int(); n > maxInt || n < -maxInt {
			return v, fmt.Errorf("%s is %d, beyond the integers that canonical JSON holds (2^53-1)", path, n)
		}
	case reflect.Float32, reflect.Float64:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return v, fmt.Errorf("%s is %v", path, f)
		}
	case reflect.Struct, reflect.Slice, reflect.Map:
		return tidyInside(v, path)
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return v, nil
		}
		inner, err := tidy(v.Elem(), path)
		if err != nil {
			return v, err
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

func tidyInside(v reflect.Value, path string) (reflect.Value, error) {
	out := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			inner, err := tidy(v.Field(i), path+jsonName(v.Type().Field(i)))
			if err != nil {
				return v, err
			}
			out.Field(i).Set(inner)
		}
	case reflect.Slice:
		out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			inner, err := tidy(v.Index(i), fmt.Sprintf("%s[%d]", path, i))
			if err != nil {
				return v, err
			}
			out.Index(i).Set(inner)
		}
	case reflect.Map:
		out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
		for it := v.MapRange(); it.Next(); {
			key, err := tidy(it.Key(), path+" (a key)")
			if err != nil {
				return v, err
			}
			inner, err := tidy(it.Value(), path+"."+key.String())
			if err != nil {
				return v, err
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
