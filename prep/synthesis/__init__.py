"""Recordings and photographs -> blurry and sharp pairs whose blur is known."""
