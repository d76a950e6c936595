"""What mail is: values and rules. No I/O, no clock, no randomness of its own; time and random bytes are passed in."""
