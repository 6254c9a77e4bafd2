package core

type Condition struct{}

func (c *Condition) Match(x *Exchange) bool { return true }
