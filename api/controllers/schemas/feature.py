"""What a workspace may do and have by its plan, and how much of that it has."""

from flask_restx import fields

from api.controllers.http.limits import Standing
from api.controllers.http.model import Model
from api.core.ports import JSONObject
from api.services.plans import Quota, Share, Usage

NEVER = 0
"""When an allowance starts anew that has no end."""

SHARE = Model(
    "Share", {"size": fields.Integer, "limit": fields.Integer(description="The most there may be; 0: any.")}
)
ALLOWANCE = Model(
    "Allowance",
    {
        "usage": fields.Integer,
        "limit": fields.Integer(description="The most there may be; 0: any."),
        "reset_date": fields.Integer(description="When it starts anew, in Unix seconds; 0: never."),
    },
)
FEATURES = Model(
    "Features",
    {
        "billing": fields.Raw(description="Nothing is billed; subscription.plan is the workspace's plan."),
        "education": fields.Raw,
        "members": fields.Nested(SHARE),
        "apps": fields.Nested(SHARE),
        "vector_space": fields.Nested(SHARE, description="In MB."),
        "knowledge_rate_limit": fields.Integer(description="Searches a minute; 0: any."),
        "annotation_quota_limit": fields.Nested(SHARE),
        "documents_upload_quota": fields.Nested(SHARE),
        "docs_processing": fields.String(example="standard"),
        "can_replace_logo": fields.Boolean,
        "model_load_balancing_enabled": fields.Boolean,
        "dataset_operator_enabled": fields.Boolean,
        "webapp_copyright_enabled": fields.Boolean,
        "workspace_members": fields.Raw,
        "is_allow_transfer_workspace": fields.Boolean,
        "trigger_event": fields.Nested(ALLOWANCE),
        "api_rate_limit": fields.Nested(
            ALLOWANCE, description="Calls of the public API, in the longest window that is counted."
        ),
        "knowledge_pipeline": fields.Raw,
        "next_credit_reset_date": fields.Integer,
    },
)


def render_features(usage: Usage, calls: Standing | None) -> JSONObject:
    """Return what the workspace may do and have; ``calls`` is None where its plan counts none."""
    members = _render_share(usage.shares[Quota.MEMBERS])
    return {
        "billing": {"enabled": False, "subscription": {"plan": usage.plan, "interval": ""}},
        "education": {"enabled": False, "activated": False},
        "members": members,
        "apps": _render_share(usage.shares[Quota.APPS]),
        "vector_space": _render_share(usage.shares[Quota.VECTOR_MB]),
        "knowledge_rate_limit": 0,
        "annotation_quota_limit": {"size": usage.annotations, "limit": 0},
        "documents_upload_quota": _render_share(usage.shares[Quota.DOCUMENTS]),
        "docs_processing": "standard",
        "can_replace_logo": False,
        "model_load_balancing_enabled": False,
        "dataset_operator_enabled": True,
        "webapp_copyright_enabled": True,
        "workspace_members": {"enabled": False, **members},
        "is_allow_transfer_workspace": True,
        "trigger_event": {"usage": 0, "limit": 0, "reset_date": NEVER},
        "api_rate_limit": _render_calls(calls),
        "knowledge_pipeline": {"publish_enabled": False},
        "next_credit_reset_date": NEVER,
    }


def _render_share(share: Share) -> JSONObject:
    return {"size": share.size, "limit": share.limit}


def _render_calls(calls: Standing | None) -> JSONObject:
    if calls is None:
        return {"usage": 0, "limit": 0, "reset_date": NEVER}
    used = min(calls.limit, calls.limit - calls.remaining)
    return {"usage": used, "limit": calls.limit, "reset_date": int(calls.reset_at)}
