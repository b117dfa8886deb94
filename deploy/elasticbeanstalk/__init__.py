"""AWS Elastic Beanstalk, Python platform: all processes on each instance, behind a balancer."""
