"""Files: the checkout, bundles on disk, archives."""
