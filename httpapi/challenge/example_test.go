package challenge_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	altcha "github.com/altcha-org/altcha-lib-go"

	"doorbuster/httpapi/challenge"
)

func ExampleChallenges() {
	challenges, err := challenge.New(challenge.Config{MaxNumber: 1000}, bytes.Repeat([]byte("s"),
		challenge.SecretBytes))
	if err != nil {
		fmt.Println(err)
		return
	}
	ada, listing, now := []byte("ada"), []byte("fans-day-10/skus/mask-50"), time.Now()
	work, err := challenges.MakeWork(ada, listing, now)
	if err != nil {
		fmt.Println(err)
		return
	}

	// What the widget does in the shopper's browser.
	found, err := altcha.SolveChallenge(work.Challenge, work.Salt, altcha.SHA256, int(work.MaxNumber), 0, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	text, _ := json.Marshal(altcha.Payload{Algorithm: work.Algorithm, Challenge: work.Challenge,
		Number: int64(found.Number), Salt: work.Salt, Signature: work.Signature})
	solution := []byte(base64.StdEncoding.EncodeToString(text))

	first, err := challenges.CheckWork(solution, ada, listing, now)
	fmt.Println(first != 0, err)
	second, _ := challenges.CheckWork(solution, ada, listing, now)
	fmt.Println("the same id:", first == second)
	_, err = challenges.CheckWork(solution, []byte("bob"), listing, now)
	fmt.Println(err)
	// Output:
	// true <nil>
	// the same id: true
	// the challenge was given to another shopper, or for another listing
}

func ExampleChallenges_CheckImage() {
	challenges, err := challenge.New(challenge.DefaultConfig(), bytes.Repeat([]byte("s"), challenge.SecretBytes))
	if err != nil {
		fmt.Println(err)
		return
	}
	ada, listing, now := []byte("ada"), []byte("fans-day-10/skus/mask-50"), time.Now()
	image, err := challenges.MakeImage(ada, listing, now)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 4 {
		_, err = challenges.CheckImage([]byte(image.Token), []byte("not what it shows"), ada, listing, now)
		fmt.Println(err)
	}
	// Output:
	// the solution is wrong
	// the solution is wrong
	// the solution is wrong
	// the image had too many wrong answers; get another one
}

func ExampleConfig_Validate() {
	fmt.Println(challenge.Config{MaxNumber: 10, Lifetime: time.Second}.Validate())
	// Output:
	// Lifetime is 1s; it must be 10s to 1h0m0s
	// MaxNumber is 10; it must be 1000 to 10000000
}
