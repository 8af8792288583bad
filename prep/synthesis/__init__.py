"""Blurry and sharp pairs with known blur, made from recordings and photographs."""
