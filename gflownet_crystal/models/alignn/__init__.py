"""ALIGNN: message passing on bonds and bond angles."""
