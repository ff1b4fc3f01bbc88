package sqlsink

import (
	"strings"
	"testing"
)

// TestEncryptionIsSaid: a URL of another machine says whether the way there is encrypted.
func TestEncryptionIsSaid(t *testing.T) {
	for url, ok := range map[string]bool{
		"postgres://u@db.example/shop": false, "postgres://u@10.0.0.1:5432/shop": false,
		"postgres://u@localhost,db.example/shop": false, "postgres:///shop?user=u&host=db.example": false,
		"postgres://u@db.example/shop?sslmode=disable": true, "postgres://u@db.example/shop?sslmode=prefer": true,
		"postgres://u@localhost/shop": true, "postgres://u@127.0.0.1/shop": true, "postgres://u@[::1]:5432/shop": true,
		"postgres:///shop?user=u&host=/run/postgresql": true,

		"mysql://u@db.example/shop": false, "mysql://u@10.0.0.1:3306/shop": false,
		"mysql://u@db.example/shop?tls=false": true, "mysql://u@db.example/shop?tls=true": true,
		"mysql://u@localhost/shop": true, "mysql://u@127.0.0.1:3306/shop": true,
		"mysql://u@/shop?socket=/run/mysqld/mysqld.sock": true,
	} {
		kind, _, _ := strings.Cut(url, ":")
		c := Config{Name: "shop", Kind: Kind(kind), URL: url}
		err := c.Validate()
		if (err == nil) != ok || !ok && !strings.Contains(err.Error(), "url: it must say whether the way to ") {
			t.Errorf("%s: %v", url, err)
		}
		if c.Dev = true; c.Validate() != nil {
			t.Errorf("%s with --dev: %v", url, c.Validate())
		}
	}
}
