"""Settings of the whole project, from the environment. Configuration only: no logic, no imports of the apps.

Everything has a default that works on one machine; docs/reference/settings.md lists the variables.
"""

from __future__ import annotations

from pathlib import Path

import environ

from . import paths

env = environ.Env()

BASE_DIR = Path(__file__).resolve().parent.parent.parent
STATE_DIR = paths.state_dir(BASE_DIR)
RUNTIME_DIR = paths.runtime_dir(BASE_DIR)

DEBUG = env.bool("STRIPEDESK_DEBUG", default=False)
SECRET_KEY = env.str("STRIPEDESK_SECRET_KEY", default="") or paths.secret_key(STATE_DIR)
ALLOWED_HOSTS = env.list("STRIPEDESK_ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("STRIPEDESK_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "sessions.apps.SessionsConfig",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "sessions.middleware.ContentSecurityPolicyMiddleware",
]

ROOT_URLCONF = "stripedesk.urls"
ASGI_APPLICATION = "stripedesk.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{STATE_DIR / 'stripedesk.sqlite3'}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# One Redis carries control and pictures on layers of their own, so that a burst of frames never delays control.
REDIS_URL = env.str("REDIS_URL", default="") or paths.redis_url(STATE_DIR, RUNTIME_DIR)
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": None}], "prefix": "stripedesk"},
    },
    "frames": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": None}], "prefix": "stripedesk-frames"},
    },
}

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "portal"
LOGOUT_REDIRECT_URL = "login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = STATE_DIR / "static"
# In the checkout; an installed wheel carries them inside the app.
STATICFILES_DIRS = [path for path in (BASE_DIR / "static",) if path.is_dir()]

# Behind TLS these turn on; on plain loopback a secure cookie would lock everyone out.
_TLS = env.bool("STRIPEDESK_TLS", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _TLS
SECURE_SSL_REDIRECT = _TLS
SECURE_HSTS_SECONDS = env.int("STRIPEDESK_HSTS_SECONDS", default=0)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _TLS else None
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": env.str("STRIPEDESK_LOG_LEVEL", default="INFO")},
}

# What the host agent and the spawner need to know; sessions/conf.py reads and checks it.
STRIPEDESK = {
    "STATE_DIR": STATE_DIR,
    "RUNTIME_DIR": RUNTIME_DIR,
    "HOST_NAME": env.str("STRIPEDESK_HOST_NAME", default=""),
    "HOST_CAPACITY": env.int("STRIPEDESK_HOST_CAPACITY", default=20),
    "UID_BASE": env.int("STRIPEDESK_UID_BASE", default=700000),
    "ALLOW_UNSANDBOXED": env.bool("STRIPEDESK_ALLOW_UNSANDBOXED", default=False),
    "METRICS_TOKEN": env.str("STRIPEDESK_METRICS_TOKEN", default=""),
    "SPAWNER": env.str("STRIPEDESK_SPAWNER", default="local"),
    "SESSIONS_PER_USER": env.int("STRIPEDESK_SESSIONS_PER_USER", default=5),
    "STARTS_AT_ONCE": env.int("STRIPEDESK_STARTS_AT_ONCE", default=4),
    "QUEUE_MINUTES": env.int("STRIPEDESK_QUEUE_MINUTES", default=30),
}
