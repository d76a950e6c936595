"""Domain, Template, ApiKey and HourlyCount → their protobuf messages.

In: values of kannon.mail.tenants and kannon.mail.event.
"""

from datetime import datetime

from kannon.mail import ids, tenants
from kannon.mail.event import HourlyCount
from kannon.pb.admin.apiv1.adminapiv1_pb2 import APIKey, Domain, Template
from kannon.pb.admin.v1 import keys_pb2
from kannon.pb.stats.types.stats_pb2 import StatsAggregated
from kannon.pb.tracking.types.tracking_pb2 import TrackingPolicy as TrackingPolicyMessage
from kannon.wire.events import timestamp


def to_domain(domain: tenants.Domain) -> Domain:
    return Domain(
        domain=domain.name,
        dkim_pub_key=domain.dkim_public_key,
        dkim_selector=domain.dkim_selector,
        tracking=TrackingPolicyMessage(
            opens=int(domain.tracking.opens),  # type: ignore[arg-type]  # proto enums are ints at run time
            links=int(domain.tracking.links),  # type: ignore[arg-type]
        ),
    )


def to_template(template: tenants.Template) -> Template:
    return Template(
        template_id=template.template_id,
        html=template.html,
        title=template.title,
        type=template.kind,
        engine=template.engine,
    )


def to_api_key(key: tenants.ApiKey, now: datetime) -> APIKey:
    """The secret is masked."""
    return APIKey(
        id=key.id,
        key=ids.mask(key.prefix),
        name=key.name,
        domain=key.domain,
        created_at=timestamp(key.created_at),
        expires_at=None if key.expires_at is None else timestamp(key.expires_at),
        is_active=key.active_at(now),
        deactivated_at=None if key.deactivated_at is None else timestamp(key.deactivated_at),
    )


def to_key(key: tenants.ApiKey, now: datetime) -> keys_pb2.Key:
    """The secret is masked."""
    return keys_pb2.Key(
        id=key.id,
        key=ids.mask(key.prefix),
        name=key.name,
        domain=key.domain,
        created_at=timestamp(key.created_at),
        expires_at=None if key.expires_at is None else timestamp(key.expires_at),
        is_active=key.active_at(now),
        deactivated_at=None if key.deactivated_at is None else timestamp(key.deactivated_at),
        scopes=[scope.value for scope in key.scopes],
        networks=[str(network) for network in key.networks],
        quota=keys_pb2.Quota(per_second=key.limits.per_second, per_day=key.limits.per_day),
        last_used_at=None if key.last_used_at is None else timestamp(key.last_used_at),
        last_used_from=key.last_used_from,
    )


def to_aggregated(count: HourlyCount) -> StatsAggregated:
    return StatsAggregated(type=count.type.value, timestamp=timestamp(count.hour), count=count.count)
