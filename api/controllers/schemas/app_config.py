"""The ModelConfig of the wire, for the documentation; core/apps/config.py checks it."""

from flask_restx import fields

from api.controllers.http.model import Model

CONFIG_MODEL = Model(
    "ModelConfig",
    {
        "model": fields.Raw(
            required=True,
            example={"provider": "openai", "name": "gpt-4o", "mode": "chat", "completion_params": {}},
        ),
        "pre_prompt": fields.String,
        "prompt_type": fields.String(enum=["simple", "advanced"]),
        "chat_prompt_config": fields.Raw,
        "completion_prompt_config": fields.Raw,
        "user_input_form": fields.List(fields.Raw),
        "dataset_query_variable": fields.String,
        "opening_statement": fields.String,
        "suggested_questions": fields.List(fields.String),
        "suggested_questions_after_answer": fields.Raw(example={"enabled": False}),
        "more_like_this": fields.Raw(example={"enabled": False}),
        "speech_to_text": fields.Raw(example={"enabled": False}),
        "text_to_speech": fields.Raw(example={"enabled": False}),
        "retriever_resource": fields.Raw(example={"enabled": True}),
        "sensitive_word_avoidance": fields.Raw(example={"enabled": False}),
        "external_data_tools": fields.List(fields.Raw),
        "agent_mode": fields.Raw,
        "dataset_configs": fields.Raw,
        "file_upload": fields.Raw,
    },
)
