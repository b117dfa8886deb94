"""Django and Django REST framework in one file: the settings of `startproject`, a viewset."""

import os
import uuid
from typing import Any
from urllib.parse import urlsplit

import django
from django.conf import settings

database = urlsplit(os.environ["DATABASE_URL"])
settings.configure(
    SECRET_KEY=os.environ["JWT_SECRET"],
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
        "rest_framework",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": database.path[1:],
            "USER": database.username,
            "PASSWORD": database.password,
            "HOST": database.hostname,
            "PORT": database.port,
            # Its default connects in every request; who deploys is told to keep them.
            "CONN_MAX_AGE": 600,
        }
    },
    USE_TZ=True,
)
django.setup()

# Models and views can only be imported when the settings are there.
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import models  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import include, path  # noqa: E402
from rest_framework import pagination, routers, serializers, viewsets  # noqa: E402
from rest_framework.response import Response  # noqa: E402


class Post(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    author_id = models.UUIDField()
    title = models.TextField()
    body = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        app_label = "posts"
        db_table = "posts"
        managed = False


class PostSerializer(serializers.ModelSerializer[Post]):
    class Meta:
        model = Post
        fields = ("id", "author_id", "title", "body", "created_at", "updated_at")


class Newest(pagination.CursorPagination):
    """By cursor: the paginations by number count the table in every request."""

    ordering = "-id"
    page_size = 20
    page_size_query_param = "limit"

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"items": data})


class PostViewSet(viewsets.ModelViewSet[Post]):
    queryset = Post.objects.all()
    serializer_class = PostSerializer
    pagination_class = Newest


def live(_: HttpRequest) -> JsonResponse:
    return JsonResponse({})


router = routers.SimpleRouter(trailing_slash=False)
router.register("posts", PostViewSet)
urlpatterns = [path("health/live", live), path("api/", include(router.urls))]
app = get_wsgi_application()
