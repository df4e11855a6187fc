"""A report as one page of HTML: self-contained, without scripts."""
