package challenge

import (
	"errors"
	"fmt"
	"time"
)

// Config says how hard challenges are. Zero fields take what DefaultConfig has.
type Config struct {
	// MaxNumber bounds the number that the work is to find: half as many hashes
	// are needed on average. Default 100,000 (a tenth of a second on a laptop,
	// about one on a phone); 1,000 to 10,000,000. Higher costs bots more, and
	// people with old phones too.
	MaxNumber int64
	// Lifetime is how long a challenge may be solved. Default 2 min, 10 s to 1 h.
	// Longer lets bots solve more in advance; shorter hurries people.
	Lifetime time.Duration
	// Digits in an image. Default 6, 4 to 8. More are harder to guess, and to
	// read.
	Digits int
	// Tries is how many wrong answers kill an image on a node. Default 3, 1 to 10.
	Tries int
	// TriedImages is how many images with wrong answers are remembered. Default
	// 65,536, 1,024 to 1,000,000; some 150 bytes each.
	TriedImages int
}

// DefaultConfig is what holds where nothing else is said.
func DefaultConfig() Config {
	return Config{MaxNumber: 100_000, Lifetime: 2 * time.Minute, Digits: 6, Tries: 3, TriedImages: 65_536}
}

func (c Config) withDefaults() Config {
	d := DefaultConfig()
	if c.MaxNumber == 0 {
		c.MaxNumber = d.MaxNumber
	}
	if c.Lifetime == 0 {
		c.Lifetime = d.Lifetime
	}
	if c.Digits == 0 {
		c.Digits = d.Digits
	}
	if c.Tries == 0 {
		c.Tries = d.Tries
	}
	if c.TriedImages == 0 {
		c.TriedImages = d.TriedImages
	}
	return c
}

// Bounds of a Config.
const (
	minNumber, maxNumber     = 1_000, 10_000_000
	minLifetime, maxLifetime = 10 * time.Second, time.Hour
)

// Validate reports every value that is out of its bounds.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	if c.Lifetime < minLifetime || c.Lifetime > maxLifetime {
		errs = append(errs, fmt.Errorf("%s is %s; it must be %s to %s", "Lifetime", c.Lifetime,
			minLifetime, maxLifetime))
	}
	for _, n := range []struct {
		name               string
		value, least, most int64
	}{
		{"MaxNumber", c.MaxNumber, minNumber, maxNumber}, {"Digits", int64(c.Digits), 4, 8},
		{"Tries", int64(c.Tries), 1, 10},
		{"TriedImages", int64(c.TriedImages), 1 << 10, 1_000_000},
	} {
		if n.value < n.least || n.value > n.most {
			errs = append(errs, fmt.Errorf("%s is %d; it must be %d to %d", n.name, n.value, n.least, n.most))
		}
	}
	return errors.Join(errs...)
}
