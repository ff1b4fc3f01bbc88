package roster

import (
	"strings"
	"testing"

	"doorbuster/engine"
)

// Whatever people write for a phone comes to one form, with and without a home.
func TestPhonesHaveOneForm(t *testing.T) {
	home, err := NewCanon("CN")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]engine.Canonical{
		"13800138000": "+8613800138000", "+86 138 0013 8000": "+8613800138000",
		"tel:+86-138-0013-8000": "+8613800138000",
		"8613800138000":         "+8613800138000", "(010) 1234 5678": "+861012345678",
		"+1 (425) 555-1212":      "+14255551212",
		"+1 425 555 1212 ext. 5": "+14255551212", "+44 (0)20 7946 0018": "+442079460018",
		"\u202a+8613800138000\u202c":  "+8613800138000",
		"\u200e+86\u2060 13800138000": "+8613800138000", "13800138000.0": "+8613800138000",
		"+1 425.555.1212":       "+14255551212",
		"+86 13800138000;ext=5": "+8613800138000", "13800138000,": "+8613800138000", "13800138000#": "+8613800138000",
		"13800138000;": "+8613800138000",
		"१३८००१३८०००":  "+8613800138000", "+٨٦١٣٨٠٠١٣٨٠٠٠": "+8613800138000", "１３８００１３８０００": "+8613800138000",
		"＋۸۶ ۱۳۸۰۰۱۳۸۰۰۰；ext＝５": "+8613800138000",
		"sms:+8613800138000":    "+8613800138000", "SMS:13800138000?body=call%20me": "+8613800138000",
		"smsto:13800138000":                        "+8613800138000",
		"tel:13800138000;phone-context=+86;isub=1": "+8613800138000", "+86 138 0013 8000,,5#": "+8613800138000",
		"+86 00 138 0013 8000": "+8613800138000", "+86 000 138 0013 8000": "+8613800138000",
		"13800138000;13900139000": "", "13800138000;block": "", "sms:": "", "sip:+8613800138000@example.com": "",
		"": "", "+": "", "none": "", "id: +8613800138000": "", "+999123456": "", "tel:": "", "tel:;phone-context=": "",
		"+86" + strings.Repeat("1", 2000): "", "\xff+8613800138000": "",
	} {
		if got, ok := home.Phone(text); got != want && ok || ok != (want != "") {
			t.Errorf("%q is %q, %v; want %q", text, got, ok, want)
		}
	}
	if _, ok := (Canon{}).Phone("13800138000"); ok {
		t.Error("a number without a country code, and no home, is one")
	}
	for _, home := range []string{"cn", "China", "ZZ", "001"} {
		if _, err := NewCanon(home); err == nil {
			t.Errorf("%s is a country", home)
		}
	}
}

func TestAddressesHaveOneForm(t *testing.T) {
	const want = "12 long strasse, springfield"
	for _, text := range []string{"12 Long Straße, Springfield", "１２ LONG STRASSE,\r\nSPRINGFIELD\n",
		"12\u00a0long\u200b strasse,\u2028\tspringfield", "\u202e12 long strasse, springfield",
		"12 lo\u034fng st\ufe0frasse\u3164, springf\u115fi\u180beld"} {
		got, ok := Canon{}.Address(text)
		if again, _ := (Canon{}).Address(string(got)); !ok || got != want || again != got {
			t.Errorf("%q is %q, and then %q, %v; want %q", text, got, again, ok, want)
		}
	}
	if got, _ := (Canon{}).Address("Caf\u00e9 e\u00ad\u0300"); got != "caf\u00e9 \u00e8" {
		t.Errorf("a letter and its mark, apart, are %+q", got)
	}
	for _, text := range []string{"", " \n\t", "\u200b", strings.Repeat("x", 2*engine.MaxShopperBytes+1),
		strings.Repeat(" ", 1<<20) + "x"} {
		if got, ok := (Canon{}).Address(text); ok {
			t.Errorf("%q is an address", got)
		}
	}
}

// FuzzCanon: what comes out is what a list may have, and comes out of itself.
func FuzzCanon(f *testing.F) {
	for _, seed := range []string{"13800138000", "tel:+1-425-555-1212;ext=5", "12 Long Straße\n",
		"::ffff:203.0.113.0/120", "\u0390 \ufb05", "e\u00ad\u0300", ".0.0.0999", "000000138138138"} {
		f.Add(seed)
	}
	canon, _ := NewCanon("CN")
	f.Fuzz(func(t *testing.T, text string) {
		if phone, ok := canon.Phone(text); ok {
			if again, same := canon.Phone(string(phone)); !same || again != phone {
				t.Errorf("phone %q is %q, and then %q", text, phone, again)
			}
		}
		if address, ok := canon.Address(text); ok {
			if again, same := canon.Address(string(address)); !same || again != address {
				t.Errorf("address %q is %q, and then %q", text, address, again)
			}
		}
	})
}
