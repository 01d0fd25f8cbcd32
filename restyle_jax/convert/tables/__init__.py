"""One file per family of upstream networks; each lists the rows of its tables in the order of the upstream state dict."""
