"""What tests share: tiny models, reference decoders, made-up rows."""
