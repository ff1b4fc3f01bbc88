// Package browser shows pages to a real Chromium, for tests of what people see. Open
// starts one; a Profile is a person with storage of their own, and a Tab is what that
// person looks at. A tab fails its test for every error that its page logs or throws,
// unless Forgive says that it is expected; Accessible holds the page against axe-core,
// and Screenshot keeps what it looks like. Where there is no Chromium the test is
// skipped.
//
// Every wait is for something that the page shows, never for a time.
package browser
