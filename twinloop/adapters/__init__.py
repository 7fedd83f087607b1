"""The only home of heavy libraries: each adapter fills one port."""
