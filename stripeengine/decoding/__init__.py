"""The payload decoders behind `stripeengine.decode`: one module a codec, and the placing of payloads."""
