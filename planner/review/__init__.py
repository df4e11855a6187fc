"""What people read: reports of every command, as text, Markdown and JSON."""
