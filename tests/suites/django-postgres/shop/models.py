from django.db import models


class Account(models.Model):
    email = models.EmailField(unique=True)
    balance = models.BigIntegerField(default=0)


class Entry(models.Model):
    account = models.ForeignKey(Account, on_delete=models.CASCADE)
    amount = models.BigIntegerField()
