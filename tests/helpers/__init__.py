"""What tests of several kinds share: small models and files made on the spot, stand-ins for programs and servers."""
