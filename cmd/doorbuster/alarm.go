package main

import "time"

// Alarm is something that an operator has to see to.
type Alarm struct {
	Name   string    `json:"name"`
	Since  time.Time `json:"since"`
	Detail string    `json:"detail"` // what is wrong, in a sentence
	Advice string    `json:"advice"` // what to do
}
