"""What the Online Retail file says, by a plain script over its rows: the truth an import is compared with.

It reads the file once, with nothing of Martlet's: no mapping, no grouping but by the Invoice column. What is left
out is what the mapping of deploy/examples says it leaves out, written here a second time:
- invoices A…, the bookkeeper's write-offs of bad debt;
- invoices whose every row has the price zero and no customer, which are movements of stock.
"""

import csv
import gzip
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal


@dataclass
class Invoice:
    number: str
    customer: str
    first_time: str
    rows: int = 0
    quantity: int = 0
    total: Decimal = Decimal(0)
    worthless: bool = True

    @property
    def is_refund(self):
        return self.number.startswith("C")


@dataclass
class RetailTruth:
    orders: dict = field(default_factory=dict)
    refunds: dict = field(default_factory=dict)
    rows: int = 0
    left_out: Counter = field(default_factory=Counter)

    @property
    def events(self):
        return len(self.orders) + len(self.refunds)

    @property
    def customers(self):
        return {invoice.customer for invoice in [*self.orders.values(), *self.refunds.values()] if invoice.customer}

    @property
    def revenue(self):
        return sum((invoice.total for invoice in self.orders.values()), Decimal(0))

    @property
    def refunded(self):
        return -sum((invoice.total for invoice in self.refunds.values()), Decimal(0))

    @property
    def orders_by_customer(self):
        return Counter(invoice.customer for invoice in self.orders.values() if invoice.customer)

    @property
    def anonymous_orders(self):
        return sum(1 for invoice in self.orders.values() if not invoice.customer)


def read_truth(path):
    """Reads the file."""
    invoices = {}
    truth = RetailTruth()
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            truth.rows += 1
            number = row["Invoice"].strip()
            customer = row["Customer ID"].strip().removesuffix(".0")
            invoice = invoices.setdefault(number, Invoice(number, customer, row["InvoiceDate"]))
            quantity, price = int(row["Quantity"]), Decimal(row["Price"])
            invoice.rows += 1
            invoice.quantity += quantity
            invoice.total += quantity * price
            if price != 0 or customer:
                invoice.worthless = False
    for number, invoice in invoices.items():
        if number.startswith("A"):
            truth.left_out["bad debt"] += 1
        elif invoice.worthless:
            truth.left_out["stock movement"] += 1
        elif invoice.is_refund:
            truth.refunds[number] = invoice
        else:
            truth.orders[number] = invoice
    return truth


def write_part(source, target, invoices):
    """Copies the rows of the first `invoices` invoices, which may be scattered, to a smaller file."""
    wanted = set()
    with gzip.open(source, "rt", encoding="utf-8", newline="") as read, \
            gzip.open(target, "wt", encoding="utf-8", newline="") as written:
        rows = csv.reader(read)
        writer = csv.writer(written)
        writer.writerow(next(rows))
        for row in rows:
            if row[0] not in wanted and len(wanted) == invoices:
                continue
            wanted.add(row[0])
            writer.writerow(row)
