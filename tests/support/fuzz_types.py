"""What ``--types`` names where the stores of the fuzz are encrypted."""

from zerograph_redis import EncryptedSerializer

serializer = EncryptedSerializer({"test": bytes(range(32))})
