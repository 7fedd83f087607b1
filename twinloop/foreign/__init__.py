"""What other trainers read: folders of pictures with captions, and their configurations.

Facts from their documentation, one file each.
"""
