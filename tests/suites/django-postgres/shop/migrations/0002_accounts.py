from django.db import migrations


def seed(apps, _):
    account = apps.get_model("shop", "Account")
    account.objects.bulk_create(account(email=f"user{n}@example.org", balance=1000) for n in range(1, 51))


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_tables")]
    operations = [migrations.RunPython(seed)]
