// The shipped rules and dashboards as a Prometheus mixin. It renders to what is shipped: rules.json is
// deploy/prometheus/openclaw-auth.rules.yml (scripts/regenerate), because not every jsonnet reads all of YAML.
//
//   local openclaw = import 'github.com/openclaw-auth-exporter/openclaw-auth-exporter/deploy/mixin/mixin.libsonnet';
//   openclaw { _config+:: { exporterJob: 'openclaw' } }
//
// It needs the folder dashboards: `jb install` the whole repository, or use what `assets export DIR` writes.
{
  _config+:: {
    // The jobs under which Prometheus scrapes /metrics and /probe.
    exporterJob: 'openclaw_auth',
    probeJob: 'openclaw_auth_probe',
    // Labels that every alert gets beside its severity, like { team: 'ops' }.
    alertLabels: {},
    // Where the runbook is; the alert's name in lower case is the anchor.
    runbookURL: 'https://github.com/openclaw-auth-exporter/openclaw-auth-exporter/blob/main/docs/runbook.md',
    dashboardTags: ['openclaw', 'openclaw-auth'],
  },

  local config = $._config,
  local shipped = {
    exporterJob: 'openclaw_auth',
    probeJob: 'openclaw_auth_probe',
    runbookURL: 'https://github.com/openclaw-auth-exporter/openclaw-auth-exporter/blob/main/docs/runbook.md',
  },

  // The only rules that name a job.
  local jobs = {
    'openclaw_auth:exporter_up': ['exporterJob', 'up{job="%s"}'],
    'openclaw_auth:probe_up': ['probeJob', 'up{job="%s"}'],
  },

  local configured(rule) =
    if std.objectHas(rule, 'record') then
      if std.objectHas(jobs, rule.record) then
        local key = jobs[rule.record][0], selector = jobs[rule.record][1];
        assert rule.expr == selector % shipped[key] : 'the expression of %s is another one' % rule.record;
        rule { expr: selector % config[key] }
      else rule
    else
      rule {
        labels+: config.alertLabels,
        annotations+: {
          runbook_url: std.strReplace(super.runbook_url, shipped.runbookURL, config.runbookURL),
        },
      },

  // Whole groups, because an alert reads what the recording rules above it in its group record.
  prometheusAlerts+:: {
    groups+: [
      group { rules: [configured(rule) for rule in group.rules] }
      for group in (import 'rules.json').groups
    ],
  },

  grafanaDashboards+:: {
    [file.name]: file.content {
      tags: config.dashboardTags,
      links: [
        link {
          url: std.strReplace(super.url, shipped.runbookURL, config.runbookURL),
          // To the dashboards with the last tag.
          tags: if super.tags == [] then [] else [config.dashboardTags[std.length(config.dashboardTags) - 1]],
        }
        for link in file.content.links
      ],
    }
    for file in [
      { name: 'openclaw-auth-overview.json', content: import '../../dashboards/overview.json' },
      { name: 'openclaw-auth-fleet.json', content: import '../../dashboards/fleet.json' },
    ]
  },
}
