{{/* What every pod of the chart has in common. */}}

{{- define "region-router.pod" -}}
serviceAccountName: {{ include "region-router.fullname" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "region-router.container" -}}
image: {{ include "region-router.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* The directory's URL is read from a file: variables are seen by too many. */}}
{{- define "region-router.env" -}}
- name: REGION_ROUTER__DIRECTORY__URL_FILE
  value: /run/secrets/region-router/{{ .Values.directory.key }}
# Where a process proves that it lives, to the one that follows it in its pod.
- {name: REGION_ROUTER__DIRECTORY__LOCKS, value: /var/lib/region-router/locks}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "region-router.mounts" -}}
- {name: config, mountPath: /etc/region-router, readOnly: true}
- {name: directory-url, mountPath: /run/secrets/region-router, readOnly: true}
{{- range $name, $secret := .Values.secretFiles }}
- {name: secret-{{ $name }}, mountPath: /run/secrets/{{ $name }}, readOnly: true}
{{- end }}
- {name: state, mountPath: /var/lib/region-router}
{{- end -}}

{{/* `dict "root" $ "config" NAME`. Whole Secrets, not single files of them: only so does a renewed certificate arrive. */}}
{{- define "region-router.volumes" -}}
- name: config
  configMap: {name: {{ .config }}}
- name: directory-url
  secret: {secretName: {{ .root.Values.directory.existingSecret }}, defaultMode: 0440}
{{- range $name, $secret := .root.Values.secretFiles }}
- name: secret-{{ $name }}
  secret: {secretName: {{ $secret }}, defaultMode: 0440}
{{- end }}
- name: state
  emptyDir: {sizeLimit: 16Mi}
{{- end -}}

{{/* Who may use the control API, as the variable takes it: a list of tables. */}}
{{- define "region-router.tokens" -}}
{{- $tokens := list -}}
{{- range .Values.control.tokens -}}
{{- $tokens = append $tokens (dict "name" .name "file" (printf "/run/secrets/control-tokens/%s" .key) "scopes" .scopes) -}}
{{- end -}}
{{- toJson $tokens -}}
{{- end -}}
