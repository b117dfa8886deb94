#!/bin/sh
# Release to a stage the image that has this tag in the registry, or an image by its whole name:
# migrate, then worker, scheduler and web. Exit 0 only if all of them serve it. Back to a former
# one: the same, with its tag or name.
#
#   deploy/ecs/release.sh production "$(git rev-parse HEAD)"
set -eu
[ $# = 2 ] || { echo "usage: $0 production|staging TAG|IMAGE" >&2; exit 2; }
stage=$1 tag=$2 cluster=slipway-$1
case $tag in
*/*) edit="s|\"[^\"]*:SHA\"|\"$tag\"|" ;;
*) edit="s|:SHA\"|:$tag\"|" ;;
esac
cd "$(dirname "$0")/$stage"
export AWS_PAGER=

fail() {
    echo "release: $1" >&2
    exit 1
}

register() { # prints the ARN
    aws ecs register-task-definition --cli-input-json "$(sed "$edit" "$1.task.json")" \
        --query taskDefinition.taskDefinitionArn --output text
}

patiently() { # a waiter gives up after 10 minutes, which a migration or a rollback may exceed
    "$@" || "$@"
}

# All of them first: what AWS refuses is known before anything has changed.
migrate=$(register migrate)
worker=$(register worker)
scheduler=$(register scheduler)
web=$(register web)

echo "release: $tag migrates $stage"
task=$(aws ecs run-task --cli-input-json file://migrate.run.json --task-definition "$migrate" \
    --query 'tasks[0].taskArn' --output text)
[ "$task" != None ] || fail "migrate was not started; nothing has changed"
patiently aws ecs wait tasks-stopped --cluster "$cluster" --tasks "$task"
# That it was started and has stopped says nothing yet: its exit code does.
ended=$(aws ecs describe-tasks --cluster "$cluster" --tasks "$task" --output text \
    --query 'tasks[0].[containers[0].exitCode, stoppedReason]')
code=$(echo "$ended" | cut -f 1)
[ "$code" = 0 ] || fail "migrate ended with $ended: see the log /ecs/$cluster"

# worker before web: it knows the jobs that the new web may ask for.
echo "release: $tag goes to $stage"
aws ecs update-service --service worker --cli-input-json file://worker.service.json \
    --task-definition "$worker" --query service.status --output text
aws ecs update-service --service scheduler --cli-input-json file://scheduler.service.json \
    --task-definition "$scheduler" --query service.status --output text
aws ecs update-service --service web --cli-input-json file://web.service.json \
    --task-definition "$web" --query service.status --output text
patiently aws ecs wait services-stable --cluster "$cluster" --services worker scheduler web

# A service that the circuit breaker has rolled back is stable too.
serving=$(aws ecs describe-services --cluster "$cluster" --services worker scheduler web \
    --query "services[].deployments[?status=='PRIMARY'][].taskDefinition" --output text)
for each in "$worker" "$scheduler" "$web"; do
    echo "$serving" | tr '\t' '\n' | grep -qxF "$each" \
        || fail "not all were kept: $serving"
done
echo "release: $stage runs $tag"
