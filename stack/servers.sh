# shellcheck shell=bash
# Part of `stack`: how each server is started (start_NAME), and how one sees that it is ready (ready_NAME).
# shellcheck disable=SC2086  # the options of Java are split at blanks

get() { curl -sf -m 2 -o /dev/null "http://127.0.0.1:$1"; }

start_kafka() {
  local d=$STACK_DATA/kafka jars
  jars="$(maven_dir kafka)/*"
  sed -e "s#@PORT@#$STACK_KAFKA_PORT#; s#@CONTROLLER@#$STACK_KAFKA_CONTROLLER_PORT#; s#@DATA@#$d/data#" \
    -e "s#@PROXIED@#$STACK_KAFKA_PROXIED_PORT#; s#@PROXY@#$STACK_KAFKA_PROXY_PORT#" "$HERE/kafka.properties" >"$d/server.properties"
  [[ -f $d/data/meta.properties ]] || attempt "$d/format.log" "kafka: could not format its storage" \
    java -cp "$jars" kafka.tools.StorageTool format -t cG9zdHJpZGVyLXN0YWNrMQ -c "$d/server.properties"
  spawn kafka java $STACK_KAFKA_JAVA_OPTS -Dlog4j2.configurationFile="$HERE/kafka-log4j2.properties" \
    -cp "$jars" kafka.Kafka "$d/server.properties"
}
ready_kafka() { grep -q 'Kafka Server started' "$STACK_DATA/kafka/log"; } # written once the broker is let into the cluster

start_sqs() {
  echo "$STACK_SQS_DURABLE" >"$STACK_DATA/sqs/durable"
  spawn sqs java $STACK_SQS_JAVA_OPTS -Dconfig.file="$HERE/elasticmq.conf" -cp "$(maven_dir sqs)/*" org.elasticmq.server.Main
}
# The port opens before the stored queues are back, and a queue created in that gap clashes with the restore.
ready_sqs() {
  local log=$STACK_DATA/sqs/log n
  get "$STACK_SQS_PORT/?Action=GetQueueUrl&QueueName=stack-ready" || return 1
  [[ $(cat "$STACK_DATA/sqs/durable") == true ]] || return 0
  n=$(grep -c 'Restored [0-9]* messages' "$log") || return 1
  sleep 0.4
  [[ $n == "$(grep -c 'Restored [0-9]* messages' "$log")" ]]
}

start_s3() {
  mkdir -p "$STACK_DATA/s3/data"
  spawn s3 env ROOT_ACCESS_KEY="$AWS_ACCESS_KEY_ID" ROOT_SECRET_KEY="$AWS_SECRET_ACCESS_KEY" "$STACK_CACHE/bin/versitygw-$VERSITYGW" \
    --port "127.0.0.1:$STACK_S3_PORT" --region "$AWS_REGION" --health /health --quiet posix "$STACK_DATA/s3/data"
}
ready_s3() { get "$STACK_S3_PORT/health"; }

start_pg() {
  local d=$STACK_DATA/pg run=(env) i old
  pg_bin || die "pg: PostgreSQL is not installed"
  ((EUID)) || run=(setpriv --reuid=postgres --regid=postgres --init-groups) # it refuses to run as root
  if [[ ! -f $d/data/PG_VERSION ]]; then
    rm -rf "$d/data" && mkdir -m 700 "$d/data"
    ((EUID)) || chown postgres: "$d/data"
    attempt "$d/initdb.log" "pg: initdb failed; is every folder above $d open to the user postgres?" \
      "${run[@]}" "$PGBIN/initdb" -D "$d/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8
  fi
  for ((i = 0; i < 150; i++)); do # a killed server's lock file holds until its process is reaped
    if ! old=$(head -n 1 "$d/data/postmaster.pid" 2>/dev/null) || [[ ! -e /proc/$old ]]; then break; fi
    sleep 0.1
  done
  spawn pg "${run[@]}" "$PGBIN/postgres" -D "$d/data" -p "$STACK_PG_PORT" -c listen_addresses=127.0.0.1 -c unix_socket_directories=
}
ready_pg() { pg_bin && "$PGBIN/pg_isready" -q -h 127.0.0.1 -p "$STACK_PG_PORT"; }

start_registry() {
  local java d=$STACK_DATA/registry
  java=$(java21) || die "registry: needs Java 21 or newer, on the PATH, under /usr/lib/jvm or as STACK_REGISTRY_JAVA"
  spawn registry env QUARKUS_HTTP_HOST=127.0.0.1 QUARKUS_HTTP_PORT="$STACK_REGISTRY_PORT" \
    QUARKUS_MANAGEMENT_HOST=127.0.0.1 QUARKUS_MANAGEMENT_PORT="$STACK_REGISTRY_ADMIN_PORT" \
    APICURIO_STORAGE_KIND=sql APICURIO_STORAGE_SQL_KIND=h2 \
    APICURIO_DATASOURCE_URL="jdbc:h2:file:$d/db;DB_CLOSE_ON_EXIT=FALSE;WRITE_DELAY=0" \
    "$java" $STACK_REGISTRY_JAVA_OPTS -jar "$(maven_dir registry)/quarkus-run.jar"
}
ready_registry() { get "$STACK_REGISTRY_PORT/apis/ccompat/v7/subjects"; }

start_toxiproxy() { spawn toxiproxy "$STACK_CACHE/bin/toxiproxy-$TOXIPROXY" -host 127.0.0.1 -port "$STACK_TOXIPROXY_PORT"; }
ready_toxiproxy() { get "$STACK_TOXIPROXY_PORT/version"; }
