"""What the system is about: pure values and rules, without input or output."""
