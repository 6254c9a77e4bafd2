package core

// ParseConditionOnMachine compiles a condition for expr's machine alone: what closures must agree with.
func ParseConditionOnMachine(source string) (*Condition, error) { return parseCondition(source, true) }
