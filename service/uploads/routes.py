"""Uploads over HTTP."""

from uuid import UUID

from flask import Blueprint, Response

from service.db import session
from service.openapi import describe
from service.storage import storage
from service.uploads.models import LIFETIME, Upload
from service.uploads.schemas import UploadBody, UploadOut
from service.users import current_user

bp = Blueprint("uploads", __name__, url_prefix="/api/uploads")


@bp.post("")
@describe(body=UploadBody, returns={201: UploadOut}, signed_in=True)
def create() -> Response:
    """Ask for a form to upload one file with, of this type and size and no other."""
    user, body = current_user(), UploadBody.read()
    bucket = storage()
    upload = Upload(owner_id=user.id, **body.model_dump())
    session.add(upload)
    session.commit()
    form = upload.form(bucket)
    out = UploadOut(
        id=upload.id,
        upload_url=form.url,
        fields=form.fields,
        expires_in=int(LIFETIME.total_seconds()),
    )
    return UploadOut.response(out, 201, {"Location": f"/api/uploads/{upload.id}"})


@bp.get("/<uuid:id>")
@describe(returns={302: None}, signed_in=True)
def show(id: UUID) -> Response:
    """Fetch a file of yours: redirects to a URL that lives for some minutes."""
    upload = Upload.of_owner(id, current_user().id)
    return Response(status=302, headers={"Location": upload.url(storage())})
