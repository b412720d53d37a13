"""What screens are made of: text, bars, charts; they know no engine."""
