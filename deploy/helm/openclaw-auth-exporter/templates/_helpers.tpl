{{- define "oae.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "oae.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "oae.labels" -}}
{{ include "oae.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "oae.secret" -}}
{{ .Values.existingSecret | default (include "oae.name" .) }}
{{- end }}

{{- define "oae.hasSecret" -}}
{{- if or .Values.existingSecret .Values.secrets }}yes{{ end }}
{{- end }}

{{- /* Without a name, each new pod would be another exporter in alerts. */ -}}
{{- define "oae.config" -}}
{{ merge (deepCopy .Values.config) (dict "name" (include "oae.name" .)) | toJson }}
{{- end }}
