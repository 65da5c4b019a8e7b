locals {
  # The lanes, and what each carries.
  queues = {
    first    = var.name               # first attempts
    retry    = "${var.name}-retry"    # what waits until it is due
    bulk     = "${var.name}-bulk"     # further attempts and replays
    outcomes = "${var.name}-outcomes" # outcomes, while the outcome log does not take them
  }
}

# Standard queues: nothing relies on order. There is no dead-letter queue, since Postrider ends what can't be delivered
# itself, and nothing would read it.
resource "aws_sqs_queue" "lane" {
  for_each = local.queues

  name                       = each.value
  visibility_timeout_seconds = 2 * var.attempt_timeout_seconds + 30
  message_retention_seconds  = 14 * 24 * 60 * 60
  receive_wait_time_seconds  = 20
  max_message_size           = 1024 * 1024
  sqs_managed_sse_enabled    = true
  tags                       = var.tags
}

resource "aws_sqs_queue_policy" "tls" {
  for_each = aws_sqs_queue.lane

  queue_url = each.value.url
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyTLS"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sqs:*"
      Resource  = each.value.arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}
