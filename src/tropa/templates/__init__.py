"""Go's text/template, the chat rendering around it, and what a template tells about its model."""
