"""Amazon ECS on Fargate: three services and a task behind a load balancer, for each stage."""
