{{- define "postrider.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "postrider.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "postrider.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "postrider.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that select the pods of a role: (dict "root" $ "role" "api"). */}}
{{- define "postrider.selector" -}}
app.kubernetes.io/name: {{ include "postrider.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{- define "postrider.labels" -}}
{{ include "postrider.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* The environment variable of a setting. */}}
{{- define "postrider.variable" -}}
POSTRIDER_{{ . | upper | replace "-" "_" }}
{{- end -}}

{{/* Refuses engines that several processes cannot share, and those that are missing. */}}
{{- define "postrider.check" -}}
{{- range $seam, $url := .Values.engines -}}
{{- if not $url -}}{{- fail (printf "engines.%s is not set: it is the URL of an engine, such as those in the comments of values.yaml" $seam) -}}{{- end -}}
{{- if hasPrefix "sqlite:" $url -}}{{- fail (printf "engines.%s: sqlite: is one process's own file; the roles of this chart are several processes" $seam) -}}{{- end -}}
{{- end -}}
{{- if not (has .Values.autoscaling.kind (list "none" "keda" "hpa")) -}}{{- fail "autoscaling.kind must be none, keda or hpa" -}}{{- end -}}
{{- end -}}
