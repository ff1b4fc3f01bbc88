package tree

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"doorbuster/engine"
	"doorbuster/httpapi/messages"
)

// schemaParts calls do with every schema within the schema, and its place.
func schemaParts(part map[string]any, place string, do func(place string, part map[string]any)) {
	do(place, part)
	for _, holder := range []string{"properties", "patternProperties", "$defs"} {
		inner, _ := part[holder].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(inner)) {
			schemaParts(inner[name].(map[string]any), place+"/"+holder+"/"+name, do)
		}
	}
	for _, holder := range []string{"items", "not"} {
		if inner, there := part[holder].(map[string]any); there {
			schemaParts(inner, place+"/"+holder, do)
		}
	}
	for _, holder := range []string{"allOf", "anyOf"} {
		inner, _ := part[holder].([]any)
		for _, one := range inner {
			schemaParts(one.(map[string]any), place+"/"+holder, do)
		}
	}
}

func TestSchemaIsWhatParseReads(t *testing.T) {
	s, err := newShape("")
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(Schema()) {
		t.Error("the schema is not JSON")
	}

	// Keywords beyond these would be reported without words of ours.
	translated := strings.Fields(`$schema $defs $ref title description default errorMessage unknownMessage type properties patternProperties additionalProperties examples enum
		required items allOf anyOf not minimum maximum pattern minLength maxLength maxItems minProperties`)
	keys := map[string]bool{}
	schemaParts(s.written, "", func(place string, part map[string]any) {
		for keyword := range part {
			if !slices.Contains(translated, keyword) {
				t.Errorf("%s: nobody says %s in plain words", place, keyword)
			}
		}
		said := part["errorMessage"] != nil
		for _, keyword := range []string{"pattern", "enum", "anyOf", "not", "minProperties"} {
			if part[keyword] != nil && !said {
				t.Errorf("%s: %s without an errorMessage", place, keyword)
			}
		}
		if (part["minimum"] == nil) != (part["maximum"] == nil) {
			t.Errorf("%s: a range with one end", place)
		}
		if part["type"] == "object" && part["additionalProperties"] != false {
			t.Errorf("%s: takes unknown keys", place)
		}
		properties, _ := part["properties"].(map[string]any)
		for name, p := range properties {
			keys[name] = true
			if p.(map[string]any)["description"] == nil {
				t.Errorf("%s: %s has no description", place, name)
			}
		}
	})

	// What the code asks for, by name.
	asked := map[string]bool{}
	var files []string
	for _, of := range []string{"../*.go", "../../play/*.go"} {
		found, err := filepath.Glob(of)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	asks := regexp.MustCompile(`\.(?:Get|List)\("([a-z_]+)"\)|r\.id\(n, "([a-z]+)"`)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range asks.FindAllStringSubmatch(string(text), -1) {
			asked[match[1]+match[2]] = true
		}
	}
	for m := range messages.Messages {
		asked[m.String()] = true
	}
	for in := range messages.Languages {
		asked[in.Tag()] = true
	}
	if in, by := slices.Sorted(maps.Keys(keys)), slices.Sorted(maps.Keys(asked)); !slices.Equal(in, by) {
		t.Errorf("keys in the schema: %v\nread by the code:   %v", in, by)
	}
}

func TestSchemaBoundsAreTheEngines(t *testing.T) {
	s, err := newShape("")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		place, keyword string
		want           int64
	}{
		{"#/$defs/product/properties/list_price", "maximum", engine.MaxPrice},
		{"#/$defs/product/properties/supplier", "maxLength", engine.MaxTextBytes},
		{"#/$defs/text", "maxLength", engine.MaxTextBytes},
		{"#/$defs/sale/properties/timezone", "maxLength", engine.MaxIDBytes},
		{"#/$defs/session/properties/limit_per_shopper", "maximum", engine.MaxQuantity},
		{"#/$defs/session/properties/admission_multiple", "maximum", engine.MaxAdmission},
		{"#/$defs/session/properties/listings", "maxItems", engine.MaxSessionListings},
		{"#/$defs/listing/properties/price", "maximum", engine.MaxPrice},
		{"#/$defs/listing/properties/stock", "maximum", engine.MaxStock},
		{"#/$defs/listing/properties/shown", "maximum", engine.MaxStock},
		{"#/$defs/listing/properties/limit_per_shopper", "maximum", engine.MaxQuantity},
		{"#/$defs/listing/properties/limit_per_month", "maximum", engine.MaxQuantity},
		{"#/$defs/session/properties/limit_per_month", "maximum", engine.MaxQuantity},
		{"#/properties/plays", "maxItems", engine.MaxPlays},
		{"#/$defs/price/properties/floor", "maximum", engine.MaxPrice},
		{"#/$defs/price/properties/by", "maximum", engine.MaxPrice},
		{"#/$defs/price/properties/steps", "maxItems", engine.MaxPriceSteps},
		{"#/$defs/step/properties/price", "maximum", engine.MaxPrice},
		{"#/$defs/step/properties/sold", "maximum", engine.MaxStock},
		{"#/$defs/cut/properties/friends", "maximum", engine.MaxFriends},
		{"#/$defs/cut/properties/spread", "maximum", engine.MaxSpread},
		{"#/$defs/cut/properties/per_day", "maximum", engine.MaxBargainCuts},
		{"#/$defs/expression", "maxLength", engine.MaxFormulaBytes},
		{"#/$defs/words/properties/en", "maxLength", engine.MaxTextBytes},
		{"#/$defs/words/properties/zh", "maxLength", engine.MaxTextBytes},
	} {
		c2 := shapeCheck{shape: s}
		got, _ := c2.rule(c.place)[c.keyword].(json.Number)
		if n, err := got.Int64(); err != nil || n != c.want {
			t.Errorf("%s: %s is %s, the engine's is %d", c.place, c.keyword, got, c.want)
		}
	}
	id := regexp.MustCompile((&shapeCheck{shape: s}).rule("#/$defs/id")["pattern"].(string))
	for _, text := range []string{"a", "A9._-", "", "-a", ".a", "a b", "ä", "a\n",
		strings.Repeat("a", engine.MaxIDBytes), strings.Repeat("a", engine.MaxIDBytes+1)} {
		if id.MatchString(text) != engine.ValidID(text) {
			t.Errorf("%q: the schema and the engine differ on whether it is an id", text)
		}
	}
}
