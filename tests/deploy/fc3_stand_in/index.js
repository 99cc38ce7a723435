// A stand-in for the fc3 component of Serverless Devs, which no public package offers: for tests of
// s.yaml with the real CLI, on a machine that is offline. It cannot deploy, and says so.
//
// What it has of the real one: the contract with the CLI (commands, getSchema, inputs); a schema of
// the properties that we use, written after the component's public interface, and stricter, since
// it refuses what it does not know; and `local`, without Docker. As in the real one, values of the
// environment pass through a shell on their way.
'use strict';

const { spawn } = require('child_process');
const fs = require('fs');
const path = require('path');

const HERE = __dirname;
// Set by the test: the Python to run, and the script that answers an event with a package.
const { STAND_IN_PYTHON, STAND_IN_SERVE_ONCE, STAND_IN_ROOT } = process.env;

exports.default = class StandIn {
  constructor() {
    const help = (description) => ({ help: { description } });
    this.commands = {
      deploy: help('refused: this is a stand-in'),
      local: { ...help('run here'), subCommands: { invoke: help('once'), start: help('serve') } },
    };
  }

  getSchema() {
    return fs.readFileSync(path.join(HERE, 'schema.json'), 'utf8');
  }

  async deploy() {
    throw new Error('This is a stand-in for the fc3 component, for tests: it cannot deploy.');
  }

  async local(inputs) {
    const [command, ...rest] = inputs.args;
    const folder = path.resolve(path.dirname(inputs.yaml.path), inputs.props.code);
    if (command === 'start') {
      await this.run(inputs, ['-B', path.join(HERE, 'start.py'), STAND_IN_ROOT, folder], '');
    } else {
      const event = fs.readFileSync(rest[rest.indexOf('-f') + 1], 'utf8');
      const script = ['-I', '-S', '-B', STAND_IN_SERVE_ONCE, folder];
      await this.run(inputs, script, `[${event}]`);
    }
    return {};
  }

  async run(inputs, script, stdin) {
    const { props } = inputs;
    const credential = await inputs.getCredential();
    const variables = {
      FC_REGION: props.region,
      FC_ACCOUNT_ID: credential.AccountID,
      FC_FUNCTION_NAME: props.functionName,
      FC_FUNCTION_HANDLER: props.handler,
      ALIBABA_CLOUD_ACCESS_KEY_ID: credential.AccessKeyID,
      ALIBABA_CLOUD_ACCESS_KEY_SECRET: credential.AccessKeySecret,
      ALIBABA_CLOUD_SECURITY_TOKEN: credential.SecurityToken || '',
      ...props.environmentVariables,
    };
    // In double quotes, not escaped: what the shell makes of a value is what the function gets.
    const pairs = Object.entries(variables).map(([name, value]) => `"${name}=${value}"`);
    const words = script.map((word) => `'${word}'`);
    const line = `exec env -i ${pairs.join(' ')} '${STAND_IN_PYTHON}' ${words.join(' ')}`;
    const child = spawn('sh', ['-c', line], { stdio: ['pipe', 'inherit', 'inherit'] });
    child.stdin.end(stdin);
    await new Promise((resolve, reject) => {
      child.on('exit', (status) =>
        status === 0 ? resolve() : reject(new Error(`the function ended with ${status}`)),
      );
    });
  }
};
