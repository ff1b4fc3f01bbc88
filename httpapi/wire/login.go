package wire

// Login is an operator's token, for a browser to keep.
type Login struct {
	Token string `json:"token"`
}

// ConsoleSession is who has logged in by a browser.
type ConsoleSession struct {
	LoggedIn bool   `json:"logged_in"`
	Name     string `json:"name,omitempty"`
	Role     string `json:"role,omitempty"`
	Supplier string `json:"supplier,omitempty"`                                 // Of the role supplier.
	Expires  string `json:"expires_at,omitempty" jsonschema:"format=date-time"` // With the token; missing with --dev.
	// What each request that changes something has to have in the header Doorbuster-Csrf;
	// missing with --dev, where none needs it.
	CSRF string `json:"csrf,omitempty"`
}
