//! The nouns on the wire: generated code and conversions.
