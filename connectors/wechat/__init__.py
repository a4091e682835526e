"""WeChat: the Official Account for villagers, WeCom for workers."""
