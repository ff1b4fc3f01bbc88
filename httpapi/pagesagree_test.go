package httpapi

import (
	"regexp"
	"strings"
	"testing"

	"doorbuster/httpapi/console"
	"doorbuster/httpapi/money"
	"doorbuster/httpapi/storefront"
)

// scriptsOfPages gives a script of the storefront and one of the console.
func scriptsOfPages(t *testing.T, ofShop, ofConsole string) map[string]string {
	t.Helper()
	site, err := storefront.Open(storefront.Config{})
	if err != nil {
		t.Fatal(err)
	}
	shop, inShop := site.File(ofShop)
	ops, inConsole := console.Open(ofConsole)
	if !inShop || !inConsole {
		t.Fatal("there is no such script")
	}
	return map[string]string{"the storefront": string(shop.Body), "the console": string(ops.Body)}
}

// TestPagesCountDecimalsAsWeDo: an amount is shown with as many decimals as it was counted with.
func TestPagesCountDecimalsAsWeDo(t *testing.T) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for page, script := range scriptsOfPages(t, "words.js", "words.js") {
		table := regexp.MustCompile(`(?s)const unusual = \[(.*?)\];`).FindStringSubmatch(script)
		if table == nil {
			t.Fatalf("%s has no table", page)
		}
		decimals := map[string]int{}
		for n, codes := range regexp.MustCompile(`"([^"]*)"`).FindAllStringSubmatch(table[1], -1) {
			for code := range strings.FieldsSeq(codes[1]) {
				decimals[code] = n
			}
		}
		for i := range len(letters) * len(letters) * len(letters) {
			code := string([]byte{letters[i/676], letters[i/26%26], letters[i%26]})
			got, unusual := decimals[code]
			if !unusual {
				got = 2
			}
			if want := money.Decimals(code); got != want {
				t.Errorf("%s shows %s with %d decimals, we count with %d", page, code, got, want)
			}
		}
	}
}

// TestPagesHaveOneSHA256: what a browser's test says of one page's sums holds for the other's.
func TestPagesHaveOneSHA256(t *testing.T) {
	blocks := map[string]bool{}
	for page, script := range scriptsOfPages(t, "work.js", "sha256.js") {
		block := regexp.MustCompile(`(?s)const K = .*\nexport const ascii = [^\n]*\n`).FindString(script)
		if block == "" {
			t.Fatalf("%s has no sums", page)
		}
		blocks[block] = true
	}
	if len(blocks) != 1 {
		t.Error("the pages' sums are not written alike")
	}
}
