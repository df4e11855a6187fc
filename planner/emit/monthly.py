"""What machines of a plan cost a month, at the list prices of its study, every hour of the month."""

from planner.emit.fleet import Fleet, Lot

NO_PRICE = "no price in the plan"


def lot_usd_per_month(fleet: Fleet, lot: Lot) -> float | None:
    """What one machine of a lot costs a month [USD]; None: no price. What is held is paid already: 0."""
    if lot.offer is None:
        return 0.0
    return offer_usd_per_month(fleet, lot.offer.id)


def offer_usd_per_month(fleet: Fleet, offer: str) -> float | None:
    """What one machine costs a month on an offer [USD]; None: no price."""
    study = fleet.plan.study
    prices = [p.price_usd_per_machine_hour for p in study.prices if p.offer_id == offer]
    return prices[0] * study.hours_per_month if prices else None


def usd_per_month(fleet: Fleet, pool: str, beyond: bool = False) -> float:
    """What one machine of a pool costs a month: at the highest price of what the plan buys there, else on demand.

    `beyond` what the plan bought no commitment covers: on demand, where that is offered. Nothing is known of machines
    that are held alone.
    """
    study = fleet.plan.study
    price = {p.offer_id: p.price_usd_per_machine_hour for p in study.prices}
    bought = [price[lot.offer.id] for lot in fleet.lots if lot.pool == pool and lot.offer and lot.offer.id in price]
    listed = [price[b.id] for b in study.offers if b.pool == pool and b.kind == "on_demand" and b.id in price]
    return max((listed or bought if beyond else bought or listed) or [0.0]) * study.hours_per_month


def spot_usd_per_month(fleet: Fleet, pool: str) -> float:
    """What one machine of a pool costs a month on spot: at the highest price there [USD]; 0: no price."""
    offers = [offer.id for offer in fleet.plan.study.offers if offer.pool == pool and offer.kind == "spot"]
    return max([offer_usd_per_month(fleet, offer) or 0.0 for offer in offers], default=0.0)
